"""Reports in the formats that CI systems read: JUnit's XML, SARIF, GitHub's annotations."""
