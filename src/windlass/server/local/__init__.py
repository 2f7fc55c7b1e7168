"""`windlass run`: a throw-away server over the working tree of a checkout, with the same engine as the real one."""
