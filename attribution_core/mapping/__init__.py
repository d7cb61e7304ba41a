"""Features to a space where made and training images meet: a pair of heads, and the fit of both."""
