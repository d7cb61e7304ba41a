"""Is this image a copy of a training image, and which parts of it are?"""
