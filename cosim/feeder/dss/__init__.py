"""OpenDSS feeders: scripts scanned before the engine sees them, then read into the arrays of `network`."""
