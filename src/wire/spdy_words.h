/* The dictionary of SPDY/3 (section 2.6.10.1 of its specification): the words that headers are
 * packed with, each behind its length, and values in a row. */
#pragma once

static const char spdy_words[] =
	"\0\0\0\007options\0\0\0\004head\0\0\0\004post\0\0\0\003put\0\0\0\006delete"
	"\0\0\0\005trace\0\0\0\006accept\0\0\0\016accept-charset\0\0\0\017accept-encoding"
	"\0\0\0\017accept-language\0\0\0\015accept-ranges\0\0\0\003age\0\0\0\005allow"
	"\0\0\0\015authorization\0\0\0\015cache-control\0\0\0\012connection"
	"\0\0\0\014content-base\0\0\0\020content-encoding\0\0\0\020content-language"
	"\0\0\0\016content-length\0\0\0\020content-location\0\0\0\013content-md5"
	"\0\0\0\015content-range\0\0\0\014content-type\0\0\0\004date\0\0\0\004etag"
	"\0\0\0\006expect\0\0\0\007expires\0\0\0\004from\0\0\0\004host\0\0\0\010if-match"
	"\0\0\0\021if-modified-since\0\0\0\015if-none-match\0\0\0\010if-range"
	"\0\0\0\023if-unmodified-since\0\0\0\015last-modified\0\0\0\010location"
	"\0\0\0\014max-forwards\0\0\0\006pragma\0\0\0\022proxy-authenticate"
	"\0\0\0\023proxy-authorization\0\0\0\005range\0\0\0\007referer"
	"\0\0\0\013retry-after\0\0\0\006server\0\0\0\002te\0\0\0\007trailer"
	"\0\0\0\021transfer-encoding\0\0\0\007upgrade\0\0\0\012user-agent\0\0\0\004vary"
	"\0\0\0\003via\0\0\0\007warning\0\0\0\020www-authenticate\0\0\0\006method"
	"\0\0\0\003get\0\0\0\006status\0\0\0\006200 OK\0\0\0\007version\0\0\0\010HTTP/1.1"
	"\0\0\0\003url\0\0\0\006public\0\0\0\012set-cookie\0\0\0\012keep-alive"
	"\0\0\0\006origin"
	"100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
	"203 Non-Authoritative Information204 No Content301 Moved Permanently"
	"400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error"
	"501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec"
	" 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,"
	"image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,public"
	"privatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

enum { SPDY_WORDS = sizeof spdy_words - 1 };
