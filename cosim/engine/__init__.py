"""Clock, event queue, the advance loop, checkpoint."""
