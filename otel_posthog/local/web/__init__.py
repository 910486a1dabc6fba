"""The local PostHog's web page: server-rendered, live, with nothing loaded from elsewhere."""
