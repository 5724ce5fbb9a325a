#include "tb/report/origin.h"

#include "tb/scenario/describe.h"
#include "tb/scenario/parameters.h"
#include "understudy_revision.h"

namespace understudy::tb {

std::string_view understudy_version() {
  return US_BUILD_VERSION;
}
std::string_view source_revision() {
  return US_SOURCE_REVISION;
}
library_versions built_with() {
  return {US_BUILD_SYSTEMC, US_BUILD_VERILATOR, US_BUILD_LWIP};
}

void add_origin(run_result& r, const scenario& s) {
  r.scenario = s.path;
  r.seed = s.seed;
  r.parameters = changed_parameters(s);
  r.marks = marks_of(s);
  r.revision = source_revision();
  r.versions = built_with();
}

}  // namespace understudy::tb
