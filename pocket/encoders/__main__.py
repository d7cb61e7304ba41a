"""`python -m pocket.encoders`."""

from pocket.encoders.convert import main

main()
