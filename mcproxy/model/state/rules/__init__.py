"""Rules over several resources: what can't be together in one State, whether a file or a runtime edit asks for it."""
