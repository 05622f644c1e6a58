"""Tables and pictures of finished, running or killed runs, from their log and its metrics."""
