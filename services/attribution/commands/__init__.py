"""One async function per use case; owns the transaction."""
