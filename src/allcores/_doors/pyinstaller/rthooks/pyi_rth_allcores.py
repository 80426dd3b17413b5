"""Runs in a program that PyInstaller has made, before anything of its own does."""

from allcores._system.program import freeze_support

freeze_support()
