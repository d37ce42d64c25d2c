"""How a Report looks: text, Markdown, HTML, SVG. Decides nothing about content; escapes everything from outside."""
