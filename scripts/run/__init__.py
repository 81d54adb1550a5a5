"""What the verbs do: a proof from settings to evidence, and the reading and writing of a database's history."""
