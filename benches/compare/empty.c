/* A library with nothing in it: what preloading costs in itself. */
