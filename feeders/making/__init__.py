"""What makes a shipped feeder out of its tables: master file, coordinates, picture, findings."""
