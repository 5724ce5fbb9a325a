// The mutants campaign: each deliberate defect is caught by the monitor that must catch it.
#pragma once
#include "tb/campaign/campaign.h"

namespace understudy::tb {

// Runs the plan's rows of this shard, with their mutant and without, `o.jobs` at a time; a run without that
// several rows share is made once. Fills in r.mutants, r.stopped.
void run_mutants(const campaign_plan& p, const campaign_options& o, campaign_result& r);

}  // namespace understudy::tb
