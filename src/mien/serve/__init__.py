"""`mien serve`: the HTTP API and the page that goes with it (extra ``serve``)."""
