// Addresses of host names, so that neither a slow name server nor one that is down for a while keeps requests from
// hosts that are known.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/base/loop.h"
#include "server/base/status.h"
#include "server/base/task.h"
#include "server/http/connection.h"
#include "server/http/name_service.h"
#include "server/http/request_in_flight.h"
#include "server/http/url.h"

namespace millrace {

// Has one look-up in flight for each host; requests that want the same host wait for its result. Every request that
// finds none in flight begins one, so that a name that moves is followed at once. The last addresses of a host are used
// for an hour if its look-up has not ended after 1.8 s, the time of RFC 8767, or fails without saying that the name
// does not exist. Remembers as many hosts as it is asked for, which are those of the configuration. Loop's thread only.
class Resolver {
 public:
  using Addresses = std::vector<asio::ip::tcp::endpoint>;

  // `names` must outlive it.
  Resolver(Loop& loop, NameService& names) : loop_(loop), names_(names) {}

  // Returns the addresses of a URL's host; NOT_FOUND if the name does not exist. Resumes with an error when `attempt`
  // ends. A caller that is suspended does not use the resolver again, so it may be destroyed meanwhile.
  Task<StatusOr<Addresses>> Resolve(const HttpUrl& url, RequestInFlight& attempt);

 private:
  struct Host {
    explicit Host(Loop& loop) : changed(loop) {}
    Event changed;
    bool is_asked = false;  // a look-up is in flight
    TimePoint asked_at;
    int64_t answers = 0;  // look-ups that have ended
    error_code error;     // of the newest answer
    Addresses addresses;  // the last that were found
    TimePoint found_at;
  };

  void Ask(const std::shared_ptr<Host>& host, const HttpUrl& url);

  Loop& loop_;
  NameService& names_;
  std::map<std::string, std::shared_ptr<Host>> hosts_;  // by name and port
};

}  // namespace millrace
