"""The push notification server of spec 16: facts in, decision out."""
