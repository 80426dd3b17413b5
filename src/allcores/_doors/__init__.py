"""What people already use, over allcores: thin doors, each in a file, over the one driver in a thread of its own."""
