"""How a file shows that it is generated: signed manifest, watermark, tags and label; and how that is checked."""
