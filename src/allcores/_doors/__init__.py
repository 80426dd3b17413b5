"""What people already use, over allcores: thin doors, each in a file or a folder, over the one driver in a thread of its own."""
