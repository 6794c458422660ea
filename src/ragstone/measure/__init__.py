"""Ragstone measures itself: retrieval and answer quality, speed, comparison of two measurements."""
