"""The messages of one reader: the queue, the window of messages that arrived, queries for missing ones."""
