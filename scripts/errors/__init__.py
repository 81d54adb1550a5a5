"""Every trouble the product can name, with its exit code. One module a room; `base` holds the shape they share."""
