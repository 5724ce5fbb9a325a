// An HTTP/1.1 file server (RFC 9110, 9112): GET and HEAD with ranges, PUT into files, POST to nowhere,
// keep-alive, pipelining and `Expect: 100-continue`. Without a clock it sends no Date (RFC 9110 6.6.1).
#pragma once
#include <memory>
#include <string>

#include "host_sw/apps/service.h"

namespace understudy::host {

struct http_counters {
  std::uint64_t requests = 0;
  std::uint64_t errors = 0;  // answered with a status from 400 on
};

// `root`: folder whose files are read and written; empty: there are none. `count` outlives the session.
std::unique_ptr<session> make_http_session(const std::string& root, http_counters& count);

}  // namespace understudy::host
