// The lines of a YAML file, which show why the parser stopped: it names the first thing that it can't use, which is
// often neither the mistake nor the place to repair.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/config/place.h"

namespace millrace {

class YamlText {
 public:
  // `text` must outlive this.
  explicit YamlText(std::string_view text);

  // Returns true if a quoted scalar begins at the place and has no closing quote: yaml-cpp then takes the rest of the
  // file for its text.
  bool IsUnclosedQuote(Place begin) const;

  // Returns true if a plain scalar that begins at the place is cut by a comment that seems to belong to its text, such as
  // `Ticket #{{id}}`.
  bool IsCutByComment(Place begin, std::string_view value) const;

  // Returns the problem behind an error of the parser, with the place and the text to change.
  Problem Explain(Place place, std::string_view error) const;

  // Returns the problem of a list or mapping, begun at `place`, that stands for a key.
  Problem ExplainKey(Place place) const;

  // Returns the problem of a second document at `place`.
  Problem ExplainSecondDocument(Place place) const;

 private:
  // Returns the line without its end; empty if the text has none of this number.
  std::string_view Line(int number) const;
  // Returns the nearest line above that has more than blanks and a comment; 0 if none has.
  int LineAbove(int number) const;
  // Returns the place of the nearest `open` before `place` that has no `close`; line 0: all are closed.
  Place FindOpen(Place place, char open, char close) const;

  Problem ExplainColon(Place place) const;
  Problem ExplainEnd(Place place) const;
  Problem ExplainOpen(Place place, char open, char close) const;

  std::vector<std::string_view> lines_;
};

}  // namespace millrace
