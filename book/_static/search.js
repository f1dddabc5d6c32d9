// Excerpts are read from the pages found, which a browser refuses where they are opened as files.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
