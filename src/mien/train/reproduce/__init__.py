"""Five papers trained again: what each compares is data here, what is done with it is one path."""
