"""Results for a reader: cards, tables, figures, the page and the model card."""
