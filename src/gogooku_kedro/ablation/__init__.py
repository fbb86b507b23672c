"""What the graph network adds: variants, controls and paired differences."""
