"""The verbs that are no training stage: one function each, which `racing-vpt VERB` calls."""
