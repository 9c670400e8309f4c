"""Jenkins over python-jenkins: one server's jobs, builds and plugins. The only package that imports python-jenkins."""
