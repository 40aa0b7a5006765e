#include "tests/http/fake_ollama.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace millrace {
namespace {

constexpr char kJson[] = "application/json; charset=utf-8";
constexpr char kLines[] = "application/x-ndjson";

std::string Response(int status, std::string_view type, std::string_view body) {
  return fmt::format("HTTP/1.1 {} X\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n{}", status, type, body.size(),
                     body);
}

// Returns the text of the first member of this name.
std::string Member(const std::string& request, const std::string& name) {
  const size_t at = request.find("\"" + name + "\":\"");
  if (at == std::string::npos) return "";
  const size_t begin = at + name.size() + 4;
  return request.substr(begin, request.find('"', begin) - begin);
}

// Returns the name under which the server has a model.
std::string Tagged(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  return name.find(':') == std::string::npos ? name + ":latest" : name;
}

}  // namespace

void FakeOllama::Put(const std::string& name, const std::string& digest) {
  const std::lock_guard lock(mutex_);
  digests_[name] = digest;
  loaded_.erase(name);
}

void FakeOllama::Offer(const std::string& name, const std::string& digest) {
  const std::lock_guard lock(mutex_);
  offered_[name] = digest;
}

std::vector<std::string> FakeOllama::requests() {
  const std::lock_guard lock(mutex_);
  return requests_;
}

int FakeOllama::Count(std::string_view request) {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(std::count(requests_.begin(), requests_.end(), request));
}

std::set<std::string> FakeOllama::loaded() {
  const std::lock_guard lock(mutex_);
  return loaded_;
}

void FakeOllama::Serve(ToxicConnection& connection) {
  while (true) {
    const std::string request = connection.ReadRequest();
    if (request.empty()) return;
    std::string answer;
    {
      const std::lock_guard lock(mutex_);
      answer = Answer(request);
    }
    if (!connection.Write(answer)) return;
  }
}

std::string FakeOllama::Answer(const std::string& request) {
  const std::string line = request.substr(0, request.find(" HTTP/"));
  const std::string model = Member(request, "model");
  if (line == "POST /api/chat") return Chat(request, model);
  requests_.push_back(model.empty() ? line : line + " " + model);
  if (line == "GET /api/version") return Response(200, kJson, R"({"version":"0.17.4"})");
  if (line == "GET /api/tags") return Response(200, kJson, Models(false));
  if (line == "GET /api/ps") return Response(200, kJson, Models(true));
  if (line == "POST /api/pull") return Pull(model);
  return Response(404, "text/plain", "404 page not found");
}

std::string FakeOllama::Chat(const std::string& request, const std::string& model) {
  const bool is_question = request.find("\"role\":") != std::string::npos;
  const bool is_unload =
      request.find("\"keep_alive\":0}") != std::string::npos || request.find("\"keep_alive\":0,") != std::string::npos;
  const std::string_view what = is_question ? "ask" : is_unload ? "unload" : "load";
  requests_.push_back(fmt::format("POST /api/chat {} {}", model, what));
  const auto known = digests_.find(Tagged(model));
  if (known == digests_.end()) {
    return Response(404, kJson, fmt::format(R"({{"error":"model '{}' not found"}})", model));
  }
  if (is_unload) {
    loaded_.erase(known->first);
  } else {
    loaded_.insert(known->first);
  }
  if (!is_question) {
    return Response(200, kJson,
                    fmt::format(R"({{"model":"{}","message":{{"role":"assistant","content":""}},"done":true,)"
                                R"("done_reason":"{}"}})",
                                model, what));
  }
  return Response(200, kLines,
                  fmt::format("{{\"model\":\"{0}\",\"message\":{{\"role\":\"assistant\",\"content\":\"{1} says\"}},"
                              "\"done\":false}}\n{{\"model\":\"{0}\",\"message\":{{\"role\":\"assistant\","
                              "\"content\":\"\"}},\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":1000,"
                              "\"eval_count\":2}}\n",
                              model, known->second));
}

std::string FakeOllama::Pull(const std::string& model) {
  const auto offered = offered_.find(Tagged(model));
  if (offered == offered_.end()) {
    return Response(200, kLines,
                    "{\"status\":\"pulling manifest\"}\n{\"error\":\"pull model manifest: file does not exist\"}\n");
  }
  digests_[offered->first] = offered->second;
  return Response(200, kLines,
                  "{\"status\":\"pulling manifest\"}\n"
                  "{\"status\":\"pulling 0123456789ab\",\"digest\":\"sha256:01\",\"total\":400,\"completed\":100}\n"
                  "{\"status\":\"pulling 0123456789ab\",\"digest\":\"sha256:01\",\"total\":400,\"completed\":400}\n"
                  "{\"status\":\"verifying sha256 digest\"}\n{\"status\":\"success\"}\n");
}

std::string FakeOllama::Models(bool only_loaded) {
  std::string list;
  for (const auto& [name, digest] : digests_) {
    if (only_loaded && !loaded_.contains(name)) continue;
    const std::string_view memory =
        only_loaded ? R"(,"size":734003200,"size_vram":367001600,"context_length":4096)" : "";
    list += fmt::format(R"({}{{"name":"{}","digest":"{}"{}}})", list.empty() ? "" : ",", name, digest, memory);
  }
  return fmt::format(R"({{"models":[{}]}})", list);
}

}  // namespace millrace
