"""A small cloud on one machine: the services that the dispatcher needs, over real HTTP."""
