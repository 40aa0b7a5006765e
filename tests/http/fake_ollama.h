// An Ollama server on this machine, as far as its clients can tell: its models are texts, and its answers name them.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/http/toxic_server.h"

namespace millrace {

class FakeOllama {
 public:
  FakeOllama() : server_([this](ToxicConnection& connection, int) { Serve(connection); }) {}

  std::string url() const { return server_.url(""); }

  // Gives the server a model, or another version of it. `name` has its tag.
  void Put(const std::string& name, const std::string& digest);
  // Lets the server pull this model. Others fail to be pulled.
  void Offer(const std::string& name, const std::string& digest);

  // Requests so far: `POST /api/chat m load`, `POST /api/pull m`, `GET /api/tags`. A chat with messages is a question;
  // without, it loads or unloads the model.
  std::vector<std::string> requests();
  int Count(std::string_view request);
  std::set<std::string> loaded();

 private:
  void Serve(ToxicConnection& connection);
  std::string Answer(const std::string& request);
  std::string Chat(const std::string& request, const std::string& model);
  std::string Pull(const std::string& model);
  std::string Models(bool only_loaded);

  std::mutex mutex_;
  std::map<std::string, std::string> digests_;  // guarded by mutex_, as all below
  std::map<std::string, std::string> offered_;
  std::set<std::string> loaded_;
  std::vector<std::string> requests_;
  ToxicServer server_;  // last: its threads use the others
};

}  // namespace millrace
