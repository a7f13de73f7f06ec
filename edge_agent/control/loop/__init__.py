"""Parts of one decision for one heat loop; `edge_agent.control.dispatch` calls them in their order."""
