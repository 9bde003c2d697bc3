"""The gateway's engine: accept, commit, answer, attempt, and write down what came of it."""
