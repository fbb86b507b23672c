"""Does the task reach every part of a model? Checks of gradients and of the flow of information."""
