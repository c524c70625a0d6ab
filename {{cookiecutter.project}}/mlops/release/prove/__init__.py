"""Whether records are true: checks, the hook, reproduction, and cleaning."""
