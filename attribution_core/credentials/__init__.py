"""What picture files say of themselves: IPTC metadata, signed content credentials, and opt-outs."""
