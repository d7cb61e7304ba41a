"""The app's page: one file a tab, each `build(services, session)`; nothing here computes, the library does."""
