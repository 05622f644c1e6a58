"""AI load: phases, jobs, queries, traces and the dynamics of Eq. 9."""
