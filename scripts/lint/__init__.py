"""Static rules on parsed SQL, one file a rule; squawk beside them as a second opinion."""
