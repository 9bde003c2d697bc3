"""What the program ``hushbell gateway`` decides, without doing anything: notifications, states, fairness."""
