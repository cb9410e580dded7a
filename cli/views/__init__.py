"""What a terminal shows of scenes, exports, training and their progress."""
