"""Speed against a plain reference, measured side by side and printed as ratios."""
